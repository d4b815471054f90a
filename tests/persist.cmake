mr_add_test(persist_decide LABEL unit SOURCES unit/persist_decide_test.c LIBS persist_core)
mr_add_test(persist_total LABEL property SOURCES property/persist_total_test.c LIBS persist_core)
mr_add_test(persist_commits LABEL sim SOURCES property/persist_commits_test.c support/memory_store.c
  LIBS persist_effects)
mr_add_test(persist_stage LABEL unit SOURCES unit/persist_stage_test.c support/memory_store.c support/stamped.c
  LIBS persist_effects)
# GC beside the writers that persist is.
mr_add_test(gc_race LABEL integration SOURCES integration/gc_race_test.c support/gc_race.c support/chain.c
  LIBS persist_effects TIMEOUT 600)
mr_add_test(commit_race LABEL integration SOURCES unit/commit_race_test.c support/commit_races.c
  support/committing.c support/store_races.c LIBS persist_effects)
mr_add_test(s3_commits LABEL s3 SOURCES s3/s3_commits_test.c support/commit_races.c support/committing.c
  support/store_races.c support/fault_server.c support/rgw_environment.c LIBS persist_effects
  TIMEOUT 600 UNDER ${CMAKE_CURRENT_SOURCE_DIR}/s3/with_rgw.sh)
mr_add_test(s3_gc LABEL s3 SOURCES s3/s3_gc_test.c support/gc_race.c support/chain.c LIBS persist_effects
  TIMEOUT 600 UNDER ${CMAKE_CURRENT_SOURCE_DIR}/s3/with_rgw.sh)
