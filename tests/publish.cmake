mr_add_test(publish_total LABEL property SOURCES property/publish_total_test.c LIBS publish_core)
mr_add_test(publish_codec LABEL unit SOURCES unit/publish_codec_test.c LIBS publish_effects)
mr_add_test(publish_view LABEL unit SOURCES unit/publish_view_test.c LIBS publish_effects)
mr_add_test(publish_stage LABEL unit
  SOURCES unit/publish_stage_test.c support/service_rig.c support/stamped.c support/trained.c LIBS publish_effects)
mr_add_test(publish_redis LABEL integration
  SOURCES integration/publish_redis_test.c support/redis_server.c support/service_rig.c support/stamped.c
    support/trained.c
  LIBS publish_effects)
