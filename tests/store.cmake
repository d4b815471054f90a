mr_add_test(store_file LABEL unit SOURCES unit/store_file_test.c LIBS mr_store)
mr_add_test(store_race LABEL integration SOURCES unit/store_race_test.c LIBS mr_store)
mr_add_test(versions LABEL unit SOURCES unit/versions_test.c support/memory_store.c LIBS mr_store m)
