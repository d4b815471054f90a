set(train_world sim/train_world.c support/memory_store.c support/submitted.c)
mr_add_test(train_crash LABEL sim SOURCES sim/train_crash_test.c ${train_world}
  LIBS train_effects stage_gpu_effects persist_effects TIMEOUT 300)
