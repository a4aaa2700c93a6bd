{{/* What several templates share: labels, images, security contexts, database, volumes. */}}

{{/* Labels of an object; call with (list $ "component"). */}}
{{- define "floe.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: floe
{{ include "floe.selector" . }}
{{- end }}

{{/* Labels that select a component's pods; call with (list $ "component"). */}}
{{- define "floe.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end }}

{{/* image and imagePullPolicy of a container; call with an `image` value. */}}
{{- define "floe.image" -}}
image: {{ printf "%s:%s" .repository .tag | quote }}
imagePullPolicy: {{ .pullPolicy }}
{{- end }}

{{/* What every pod has; call with (list $ uid). Service links would set variables such as DAGSTER_CODE_PORT. */}}
{{- define "floe.pod" -}}
{{- $root := index . 0 -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- if not $root.Values.openshift }}
  runAsUser: {{ index . 1 }}
  runAsGroup: {{ index . 1 }}
  fsGroup: {{ index . 1 }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "floe.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Variables of Dagster's database, which dagster.yaml refers to. */}}
{{- define "floe.database" -}}
- name: DAGSTER_POSTGRES_PASSWORD
  valueFrom: {secretKeyRef: {name: floe-postgresql, key: dagster-password}}
{{- end }}

{{/*
Shell lines that wait for the database: without it webserver and daemon would end, and their next try comes late. It stands
before each start and not in an init container, which would not be run again when the container alone is restarted.
*/}}
{{- define "floe.waitForDatabase" -}}
until (exec 3<>/dev/tcp/{{ .Values.database.host }}/{{ .Values.database.port }}) 2>/dev/null; do
  [[ -n ${waiting:-} ]] || echo "waiting for {{ .Values.database.host }}:{{ .Values.database.port }}"
  waiting=yes
  sleep 1
done
{{- end }}

{{- define "floe.mounts" -}}
- {name: home, mountPath: /opt/dagster/home}
- {name: config, mountPath: /opt/dagster/home/dagster.yaml, subPath: dagster.yaml, readOnly: true}
- {name: config, mountPath: /etc/dagster, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "floe.volumes" -}}
- name: config
  configMap: {name: dagster}
- name: home
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- end }}
