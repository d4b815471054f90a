mr_add_test(train_total LABEL property SOURCES property/train_total_test.c LIBS train_core)
mr_add_test(train_ledger LABEL unit SOURCES unit/train_ledger_test.c LIBS train_effects)
mr_add_test(train_fold LABEL unit SOURCES unit/train_fold_test.c support/submitted.c support/memory_store.c
  LIBS train_effects)
set(train_world sim/train_world.c support/memory_store.c support/stamped.c support/submitted.c)
mr_add_test(train_stage LABEL unit SOURCES unit/train_stage_test.c ${train_world}
  LIBS train_effects stage_gpu_effects persist_effects)
target_include_directories(test_train_stage PRIVATE sim)
mr_add_test(train_crash LABEL sim SOURCES sim/train_crash_test.c ${train_world}
  LIBS train_effects stage_gpu_effects persist_effects TIMEOUT 300)
