# The benchmark of the pipeline: what its figures rest on, and its counter with faults planted. No figure is tested.
mr_add_test(bench_plan LABEL unit SOURCES unit/bench_plan_test.c LIBS bench_pipeline)
add_test(NAME e2e.count COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/count_test.sh)
set_tests_properties(e2e.count PROPERTIES LABELS e2e TIMEOUT 300 RUN_SERIAL ON ENVIRONMENT "MILLRACE_BIN=${MR_BIN_DIR}")
