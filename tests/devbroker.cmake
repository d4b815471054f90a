mr_add_test(devbroker_watch LABEL unit SOURCES unit/devbroker_watch_test.c LIBS devbroker_core)
mr_add_test(devbroker LABEL integration SOURCES integration/devbroker_test.c LIBS mr_kafka)
target_compile_definitions(test_devbroker PRIVATE DEVBROKER_PROGRAM="$<TARGET_FILE:millrace-devbroker>")
add_dependencies(test_devbroker millrace-devbroker)
