{{/* Names, labels and images. */}}

{{- define "jetpost.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 32 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 32 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 32 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of the whole release; of one component with (dict "root" $ "component" "sender"). */}}
{{- define "jetpost.releaseSelector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "jetpost.selector" -}}
{{ include "jetpost.releaseSelector" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "jetpost.labels" -}}
{{ include "jetpost.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name, namespace and labels of an object: (dict "root" $ "component" "sender" "suffix" "sender-metrics"). */}}
{{- define "jetpost.metadata" -}}
name: {{ include "jetpost.fullname" .root }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "jetpost.labels" . | nindent 2 }}
{{- end -}}

{{/* (dict "image" .Values.image "default" .Chart.AppVersion) */}}
{{- define "jetpost.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .default .image.tag | toString) -}}
{{- end -}}
{{- end -}}

{{- define "jetpost.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "jetpost.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "jetpost.secretName" -}}
{{- default (printf "%s-secrets" (include "jetpost.fullname" .)) .Values.secrets.existingSecret -}}
{{- end -}}

{{/* "true" where the simulator and the first campaign are wanted, else nothing. */}}
{{- define "jetpost.demo" -}}
{{- $pools := dig "sender" "pools" dict .Values.config -}}
{{- if or (eq (toString .Values.demo.enabled) "true") (and (eq (toString .Values.demo.enabled) "auto") (not $pools)) -}}true{{- end -}}
{{- end -}}
