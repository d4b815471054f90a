mr_add_test(cli_input LABEL unit SOURCES unit/cli_input_test.c LIBS mr_cli)
mr_add_test(cli_command LABEL unit SOURCES unit/cli_command_test.c LIBS mr_cli)
mr_add_test(cli_replay LABEL unit
  SOURCES unit/cli_replay_test.c support/memory_store.c support/submitted.c LIBS mr_cli)
add_test(NAME integration.cli
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/cli_test.sh ${MR_BIN_DIR}
          ${CMAKE_CURRENT_SOURCE_DIR}/e2e/small_run.json $<TARGET_FILE:mr_store_make>)
set_tests_properties(integration.cli PROPERTIES LABELS integration TIMEOUT 120)
mr_add_test(tensorboard LABEL unit SOURCES unit/tensorboard_test.c LIBS mr_cli)
add_test(NAME integration.tensorboard
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/integration/tensorboard_test.sh ${MR_BIN_DIR} $<TARGET_FILE:mr_make_models>)
set_tests_properties(integration.tensorboard PROPERTIES LABELS integration TIMEOUT 120)
