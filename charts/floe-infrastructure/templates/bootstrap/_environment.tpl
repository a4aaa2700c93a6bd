{{/* Variables of the containers that bring the lake into being; they hold every key there is, and no other pod does. */}}
{{- define "floe.bootstrap.environment" -}}
- name: FLOE_CATALOG_URI
  value: http://polaris:8181/api/catalog
- name: FLOE_CATALOG_NAME
  value: {{ .Values.lake.catalog }}
- name: FLOE_WAREHOUSE_LOCATION
  value: {{ .Values.lake.warehouse }}
- name: FLOE_S3_ENDPOINT
  value: http://minio:9000
- name: FLOE_S3_REGION
  value: {{ .Values.lake.region }}
{{- range list
    (list "FLOE_S3_ACCESS_KEY" "floe-minio" "rootUser")
    (list "FLOE_S3_SECRET_KEY" "floe-minio" "rootPassword")
    (list "POLARIS_ACCESS_KEY" "floe-minio-polaris" "access-key")
    (list "POLARIS_SECRET_KEY" "floe-minio-polaris" "secret-key")
    (list "FLOE_ROOT_CLIENT_ID" "floe-polaris-root" "client-id")
    (list "FLOE_ROOT_CLIENT_SECRET" "floe-polaris-root" "client-secret")
    (list "FLOE_CATALOG_CLIENT_ID" "floe-polaris-pipeline" "client-id")
    (list "FLOE_CATALOG_CLIENT_SECRET" "floe-polaris-pipeline" "client-secret")
    (list "FLOE_CUBE_CLIENT_ID" "floe-polaris-cube" "client-id")
    (list "FLOE_CUBE_CLIENT_SECRET" "floe-polaris-cube" "client-secret")
}}
- name: {{ index . 0 }}
  valueFrom: {secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}}
{{- end }}
{{- end }}
