mr_add_test(cli_input LABEL unit SOURCES unit/cli_input_test.c LIBS mr_cli)
mr_add_test(cli_command LABEL unit SOURCES unit/cli_command_test.c LIBS mr_cli)
