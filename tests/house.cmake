# The supervisor of `./dev up`. No Kafka in it, so that every sanitizer can run it.
mr_add_test(supervise LABEL unit SOURCES house/supervise_test.c LIBS supervise_core)
add_executable(mr_fake_service house/fake_service.c)
target_link_libraries(mr_fake_service PRIVATE mr_options)
set_target_properties(mr_fake_service PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME integration.supervise
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/supervise_test.sh
          $<TARGET_FILE:millrace-supervise> $<TARGET_FILE:mr_fake_service>)
set_tests_properties(integration.supervise PROPERTIES LABELS integration TIMEOUT 120)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  add_test(NAME unit.setup COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/setup_test.sh ${PROJECT_SOURCE_DIR})
  set_tests_properties(unit.setup PROPERTIES LABELS unit TIMEOUT 60)
endif()
foreach(name examples stack)
  add_test(NAME e2e.${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/${name}_test.sh)
  set_tests_properties(e2e.${name} PROPERTIES LABELS e2e TIMEOUT 300 RUN_SERIAL ON
    ENVIRONMENT "MILLRACE_BIN=${MR_BIN_DIR}")
endforeach()
