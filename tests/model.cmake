foreach(name spec profile pricing batch checkpoint)
  mr_add_test(model_${name} LABEL unit SOURCES unit/model_${name}_test.c support/sample_spec.c LIBS mr_model m)
endforeach()
# Computed in the same way as the library: contraction would change what is tested.
target_compile_options(test_model_profile PRIVATE -ffp-contract=off)

mr_add_test(engine_gradient LABEL compute SOURCES compute/engine_gradient_test.c support/sample_spec.c
  LIBS mr_engine_cpu m)
mr_add_test(engine_bits LABEL compute SOURCES compute/engine_bits_test.c support/sample_spec.c LIBS mr_engine_cpu m)
mr_add_test(engine_outcome LABEL compute SOURCES compute/engine_outcome_test.c support/sample_spec.c
  LIBS mr_engine_cpu m)
# Minutes under a sanitizer, and nothing that the others do not touch.
if(NOT MR_SANITIZE)
  mr_add_test(engine_learns LABEL compute TIMEOUT 600 SOURCES compute/engine_learns_test.c support/sample_spec.c
    LIBS mr_engine_cpu m)
  target_compile_definitions(test_engine_learns PRIVATE
    DEMO_RUN="${PROJECT_SOURCE_DIR}/examples/demo_run.json")
endif()
