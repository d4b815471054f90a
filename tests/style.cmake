# The rules of the house, as tests. They do not depend on the preset, so they run under gcc alone; but for purity, which
# asks the objects that each compiler made (a sanitizer's objects call its runtime).
if(NOT MR_SANITIZE)
  get_property(pure GLOBAL PROPERTY MR_PURE_LIBS)
  list(TRANSFORM pure REPLACE "(.+)" "$<TARGET_FILE:\\1>")
  add_test(NAME style.cores_are_pure COMMAND ${PROJECT_SOURCE_DIR}/cmake/check_pure.sh ${pure})
  set_tests_properties(style.cores_are_pure PROPERTIES LABELS style)
endif()

if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(style ${PROJECT_SOURCE_DIR}/tools/style)
  get_target_property(generated mr_schemas INTERFACE_INCLUDE_DIRECTORIES)
  foreach(check words shape decisions layers)
    add_test(NAME style.${check} COMMAND python3 -B ${style}/${check}.py ${PROJECT_SOURCE_DIR})
  endforeach()
  foreach(check format scripts)
    add_test(NAME style.${check} COMMAND ${style}/${check}.sh ${PROJECT_SOURCE_DIR})
  endforeach()
  add_test(NAME style.headers COMMAND ${style}/headers.sh ${PROJECT_SOURCE_DIR} ${generated})
  add_test(NAME style.plants
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/style/plants_test.sh ${PROJECT_SOURCE_DIR} ${generated})
  set_tests_properties(style.words style.shape style.decisions style.layers style.format style.scripts style.headers
    style.plants PROPERTIES LABELS style TIMEOUT 120)

  set(programs "")
  foreach(service ingest validate stage_gpu train persist publish)
    list(APPEND programs $<TARGET_FILE:millrace-${service}>)
  endforeach()
  list(APPEND programs $<TARGET_FILE:millrace> $<TARGET_FILE:millrace-devbroker>)
  add_test(NAME style.configuration COMMAND ${style}/configuration.sh check ${PROJECT_SOURCE_DIR} ${programs})
  set_tests_properties(style.configuration PROPERTIES LABELS style TIMEOUT 60)
endif()
