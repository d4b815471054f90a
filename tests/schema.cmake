# The schemas: linted, compatible with what is released, and golden bytes. They do not depend on the preset.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  foreach(check lint breaking golden)
    add_test(NAME schema.${check} COMMAND ${PROJECT_SOURCE_DIR}/dev schemas ${check})
  endforeach()
  add_test(NAME schema.breaking_is_found
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/schema/breaking_test.sh ${PROJECT_SOURCE_DIR})
  set_tests_properties(schema.lint schema.breaking schema.golden schema.breaking_is_found
    PROPERTIES LABELS schema TIMEOUT 120)
endif()
mr_add_test(golden_bytes LABEL schema SOURCES schema/golden_test.c LIBS mr_schemas)
target_compile_definitions(test_golden_bytes PRIVATE MR_GOLDEN_FOLDER="${CMAKE_CURRENT_SOURCE_DIR}/schema/golden")
