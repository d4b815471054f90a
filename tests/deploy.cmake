# The images, docker-compose.yml, Prometheus' rules and Grafana's board. They do not depend on the preset, so they run
# under gcc alone, and start nothing. python3-yaml belongs to Debian's own python3.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT MR_SANITIZE)
  set(deploy ${CMAKE_CURRENT_SOURCE_DIR}/deploy)
  add_test(NAME deploy.images COMMAND ${deploy}/images_test.sh ${PROJECT_SOURCE_DIR} ${MR_BIN_DIR})
  add_test(NAME deploy.context COMMAND ${deploy}/context_test.sh ${PROJECT_SOURCE_DIR})
  add_test(NAME deploy.compose
    COMMAND /usr/bin/python3 -B ${deploy}/compose_test.py ${PROJECT_SOURCE_DIR} ${MR_BIN_DIR})
  add_test(NAME deploy.metrics COMMAND /usr/bin/python3 -B ${deploy}/metrics_test.py ${PROJECT_SOURCE_DIR})
  add_test(NAME deploy.prometheus
    COMMAND promtool check config ${PROJECT_SOURCE_DIR}/deploy/prometheus/prometheus.yml)
  add_test(NAME deploy.alerts COMMAND promtool test rules ${deploy}/alerts_test.yml)
  set_tests_properties(deploy.images deploy.context deploy.compose deploy.metrics deploy.prometheus deploy.alerts
    PROPERTIES LABELS deploy TIMEOUT 60)
endif()
