{{/* The parts that every pod has: called with the root. */}}
{{- define "ninety.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "ninety.selector" -}}
app.kubernetes.io/name: ninety
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ninety.labels" -}}
{{ include "ninety.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ninety.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ninety.pod" -}}
automountServiceAccountToken: false
# A Service of this name would bring NINETY_PORT and others along, which the service refuses as settings.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add .Values.drainSeconds .Values.shutdownSeconds 5 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
{{- end }}

{{- define "ninety.container" -}}
image: {{ include "ninety.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - secretRef: {name: {{ .Values.secret.name | quote }}}
env:
  - {name: NINETY_METRICS_PORT, value: "9090"}
  - {name: NINETY_DRAIN_SECONDS, value: {{ .Values.drainSeconds | quote }}}
  - {name: NINETY_SHUTDOWN_SECONDS, value: {{ .Values.shutdownSeconds | quote }}}
  - {name: NINETY_LOG_FORMAT, value: json}
{{- range $name, $value := .Values.settings }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end }}
