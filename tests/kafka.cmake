mr_add_test(kafka_log LABEL integration SOURCES integration/kafka_log_test.c LIBS mr_kafka Threads::Threads TIMEOUT 300)
target_compile_definitions(test_kafka_log PRIVATE DEVBROKER_PROGRAM="$<TARGET_FILE:millrace-devbroker>")
add_dependencies(test_kafka_log millrace-devbroker)
