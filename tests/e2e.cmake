# The whole stack as processes. Each test starts its own on free ports.
add_executable(mr_bad_input e2e/bad_input.c support/submitted.c)
target_link_libraries(mr_bad_input PRIVATE mr_kafka mr_model mr_io mr_test_support PkgConfig::CHECK mr_options m)
set_target_properties(mr_bad_input PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_executable(mr_topic_size e2e/topic_size.c)
target_link_libraries(mr_topic_size PRIVATE mr_kafka mr_io mr_options)
set_target_properties(mr_topic_size PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
foreach(name same_hash bad_input adopt variety subscribe serve)
  add_test(NAME e2e.${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/${name}_test.sh)
  set_tests_properties(e2e.${name} PROPERTIES LABELS e2e TIMEOUT 600 RUN_SERIAL ON
    ENVIRONMENT "MILLRACE_BIN=${MR_BIN_DIR};MR_TOOLS=${CMAKE_BINARY_DIR}/tests")
endforeach()
# On Apache Kafka, which comes from Maven Central: ./dev test --offline leaves out the label kafka.
add_executable(mr_kafka_topics e2e/kafka_topics.c)
target_link_libraries(mr_kafka_topics PRIVATE PkgConfig::RDKAFKA mr_options)
set_target_properties(mr_kafka_topics PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_executable(mr_kafka_members e2e/kafka_members.c)
target_link_libraries(mr_kafka_members PRIVATE mr_kafka mr_io mr_options)
set_target_properties(mr_kafka_members PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_library(mr_faults SHARED faults/control.c faults/clock.c faults/store.c faults/claims.c)
target_compile_definitions(mr_faults PRIVATE _GNU_SOURCE) # what the library behind it has
target_link_libraries(mr_faults PRIVATE mr_options)
set_target_properties(mr_faults PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
# Some of the outages, short ones: ./dev outages tries the others, and longer.
add_test(NAME e2e.kafka_outage COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/outage_test.sh
  store_frozen store_full all_stopped clock_moved leader_killed)
set_tests_properties(e2e.kafka_outage PROPERTIES LABELS "e2e;kafka" TIMEOUT 900 RUN_SERIAL ON
  ENVIRONMENT "MILLRACE_BIN=${MR_BIN_DIR};MR_TOOLS=${CMAKE_BINARY_DIR}/tests")
foreach(name kafka_topics kafka_adopt kafka_stack kafka_security kafka_rebalance kafka_damage kafka_clients kafka_fire)
  add_test(NAME e2e.${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/${name}_test.sh)
  set_tests_properties(e2e.${name} PROPERTIES LABELS "e2e;kafka" TIMEOUT 600 RUN_SERIAL ON
    ENVIRONMENT "MILLRACE_BIN=${MR_BIN_DIR};MR_TOOLS=${CMAKE_BINARY_DIR}/tests")
endforeach()
add_test(NAME e2e.kafka_same_hash COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/same_hash_test.sh)
set_tests_properties(e2e.kafka_same_hash PROPERTIES LABELS "e2e;kafka" TIMEOUT 600 RUN_SERIAL ON
  ENVIRONMENT "MILLRACE_BIN=${MR_BIN_DIR};MILLRACE_TEST_BROKER=kafka")
# On Ceph's RADOS Gateway, from Debian.
add_test(NAME e2e.s3_same_hash COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/s3_same_hash_test.sh)
set_tests_properties(e2e.s3_same_hash PROPERTIES LABELS "e2e;s3" TIMEOUT 600 RUN_SERIAL ON
  ENVIRONMENT "MILLRACE_BIN=${MR_BIN_DIR}")
add_executable(mr_fault_proxy e2e/fault_proxy.c support/fault_server.c)
target_include_directories(mr_fault_proxy PRIVATE support)
target_link_libraries(mr_fault_proxy PRIVATE mr_base mr_options Threads::Threads)
set_target_properties(mr_fault_proxy PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME e2e.s3_commit_kill COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/s3_commit_kill_test.sh)
set_tests_properties(e2e.s3_commit_kill PROPERTIES LABELS "e2e;s3" TIMEOUT 600 RUN_SERIAL ON
  ENVIRONMENT "MILLRACE_BIN=${MR_BIN_DIR};MR_TOOLS=${CMAKE_BINARY_DIR}/tests")
