# The arena and the service that owns it.
mr_add_test(arena_word LABEL unit SOURCES unit/arena_word_test.c LIBS mr_arena)
mr_add_test(arena_pool LABEL property SOURCES unit/arena_pool_test.c LIBS mr_arena)
foreach(test arena_word arena_pool)
  target_include_directories(test_${test} PRIVATE ${PROJECT_SOURCE_DIR}/libshared/arena)
endforeach()
mr_add_test(arena_lease LABEL unit SOURCES unit/arena_lease_test.c LIBS mr_arena)
mr_add_test(arena_process LABEL unit SOURCES unit/arena_process_test.c LIBS mr_arena)
mr_add_test(arena_thread LABEL unit SOURCES unit/arena_thread_test.c LIBS mr_arena)
