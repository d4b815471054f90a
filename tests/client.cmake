# The client library and what is built on it.
set(client_support support/memory_store.c support/locked_store.c support/model_chain.c support/client_watch.c
  support/sample_spec.c)
mr_add_test(client_follow LABEL unit SOURCES unit/client_follow_test.c LIBS mr_client_core)
mr_add_test(client_load LABEL unit SOURCES unit/client_load_test.c ${client_support} LIBS mr_client mr_store mr_model)
mr_add_test(client_swap LABEL unit SOURCES unit/client_swap_test.c ${client_support} LIBS mr_client mr_store mr_model)
foreach(name client_follow client_load client_swap)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/libshared/client)
endforeach()
# Seconds; a sanitizer makes each swap some ten times as long.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT MR_SANITIZE)
  target_compile_definitions(test_client_swap PRIVATE MR_SWAPS=10000)
else()
  target_compile_definitions(test_client_swap PRIVATE MR_SWAPS=1000)
endif()
mr_add_test(client_wake LABEL integration
  SOURCES integration/client_wake_test.c support/redis_server.c ${client_support}
  LIBS mr_client mr_store mr_model PkgConfig::HIREDIS)
target_include_directories(test_client_wake PRIVATE ${PROJECT_SOURCE_DIR}/libshared/client)
add_executable(mr_make_models support/make_models.c support/model_chain.c support/sample_spec.c)
target_link_libraries(mr_make_models PRIVATE mr_model mr_store mr_test_support PkgConfig::CHECK mr_options)
set_target_properties(mr_make_models PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT MR_SANITIZE)
  add_test(NAME integration.client_install
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/client_install_test.sh ${CMAKE_BINARY_DIR} ${PROJECT_SOURCE_DIR}
            $<TARGET_FILE:mr_make_models>)
  set_tests_properties(integration.client_install PROPERTIES LABELS integration TIMEOUT 120)
endif()
mr_add_test(serve_decide LABEL unit SOURCES unit/serve_decide_test.c LIBS serve_core)
mr_add_test(serve_request LABEL unit SOURCES unit/serve_request_test.c LIBS mr_cli)
add_test(NAME integration.serve
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/serve_test.sh ${MR_BIN_DIR} $<TARGET_FILE:mr_make_models>)
set_tests_properties(integration.serve PROPERTIES LABELS integration TIMEOUT 120)
# libFuzzer comes with clang; run it by hand or from a scheduled job: tests/serve_request_fuzz <corpus>.
if(CMAKE_C_COMPILER_ID STREQUAL "Clang" AND NOT MR_SANITIZE)
  add_executable(serve_request_fuzz EXCLUDE_FROM_ALL fuzz/serve_request_fuzz.c)
  set_target_properties(serve_request_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_options(serve_request_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_options(serve_request_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(serve_request_fuzz PRIVATE mr_cli mr_options)
endif()
