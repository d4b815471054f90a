# The arena and the service that owns it.
mr_add_test(arena_word LABEL unit SOURCES unit/arena_word_test.c LIBS mr_arena)
mr_add_test(arena_pool LABEL property SOURCES unit/arena_pool_test.c LIBS mr_arena)
foreach(test arena_word arena_pool)
  target_include_directories(test_${test} PRIVATE ${PROJECT_SOURCE_DIR}/libshared/arena)
endforeach()
mr_add_test(arena_lease LABEL unit SOURCES unit/arena_lease_test.c LIBS mr_arena)
mr_add_test(arena_process LABEL unit SOURCES unit/arena_process_test.c LIBS mr_arena)
mr_add_test(arena_thread LABEL unit SOURCES unit/arena_thread_test.c LIBS mr_arena)
mr_add_test(stage_gpu_total LABEL property SOURCES property/stage_gpu_total_test.c LIBS stage_gpu_core)
mr_add_test(stage_gpu_decide LABEL unit SOURCES unit/stage_gpu_decide_test.c LIBS stage_gpu_core)
mr_add_test(stage_gpu_stage LABEL unit
  SOURCES unit/stage_gpu_stage_test.c support/service_rig.c support/stamped.c support/submitted.c support/memory_store.c
  LIBS stage_gpu_effects)
mr_add_test(stage_gpu_start LABEL unit SOURCES unit/stage_gpu_start_test.c LIBS mr_base)
target_compile_definitions(test_stage_gpu_start PRIVATE STAGE_GPU_PROGRAM="$<TARGET_FILE:millrace-stage_gpu>")
add_dependencies(test_stage_gpu_start millrace-stage_gpu)
