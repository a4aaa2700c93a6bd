{{/* Variables with which the server and the admin tool reach the database of Polaris. */}}
{{- define "floe.polaris.database" -}}
- name: POLARIS_PERSISTENCE_TYPE
  value: relational-jdbc
- name: QUARKUS_DATASOURCE_JDBC_URL
  value: jdbc:postgresql://postgresql:5432/polaris
- name: QUARKUS_DATASOURCE_USERNAME
  value: polaris
- name: QUARKUS_DATASOURCE_PASSWORD
  valueFrom: {secretKeyRef: {name: floe-postgresql, key: polaris-password}}
{{- end }}
