mr_add_test(stage_order LABEL property SOURCES property/stage_order_test.c LIBS mr_stage_core)
mr_add_test(stage_window LABEL unit SOURCES unit/stage_window_test.c LIBS mr_stage)
target_include_directories(test_stage_window PRIVATE ${PROJECT_SOURCE_DIR}/libshared/stage)
mr_add_test(stage_loop LABEL unit SOURCES unit/stage_loop_test.c support/stage_rig.c support/stamped.c LIBS mr_stage)
mr_add_test(stage_park LABEL unit SOURCES unit/stage_park_test.c support/stage_rig.c support/stamped.c LIBS mr_stage)
target_include_directories(test_stage_park PRIVATE ${PROJECT_SOURCE_DIR}/libshared/stage)
mr_add_test(stage_folds LABEL unit SOURCES unit/stage_folds_test.c support/stage_rig.c support/stamped.c LIBS mr_stage)
mr_add_test(stage_crash LABEL sim SOURCES sim/stage_crash_test.c support/stage_rig.c support/stamped.c
  LIBS mr_stage TIMEOUT 300)
