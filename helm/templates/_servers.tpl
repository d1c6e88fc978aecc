{{/* Where NATS and ClickHouse are, and who we are to them. */}}

{{- define "jetpost.natsTls" -}}
{{- if and .Values.nats.enabled .Values.nats.tls.enabled -}}true{{- end -}}
{{- end -}}

{{- define "jetpost.natsTlsSecret" -}}
{{- default (printf "%s-nats-tls" (include "jetpost.fullname" .)) .Values.nats.tls.existingSecret -}}
{{- end -}}

{{/* The authorities to trust as {"name": Secret, "key": its key}; nothing where the system's do. */}}
{{- define "jetpost.natsCa" -}}
{{- if include "jetpost.natsTls" . -}}
{{- dict "name" (include "jetpost.natsTlsSecret" .) "key" "ca.crt" | toJson -}}
{{- else if and (not .Values.nats.enabled) .Values.nats.external.caSecret.name -}}
{{- .Values.nats.external.caSecret | toJson -}}
{{- end -}}
{{- end -}}

{{- define "jetpost.natsUrl" -}}
{{- if not .Values.nats.enabled -}}
{{- .Values.nats.external.url -}}
{{- else -}}
{{- $scheme := ternary "tls" "nats" (eq (include "jetpost.natsTls" .) "true") -}}
{{- $name := printf "%s-nats" (include "jetpost.fullname" .) -}}
{{- $urls := list -}}
{{- if gt (int .Values.nats.replicas) 1 -}}
{{- range $number := until (int .Values.nats.replicas) -}}
{{- $urls = append $urls (printf "%s://%s-%d.%s-headless:4222" $scheme $name $number $name) -}}
{{- end -}}
{{- else -}}
{{- $urls = list (printf "%s://%s:4222" $scheme $name) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}
{{- end -}}

{{/* users, user, credentials or none */}}
{{- define "jetpost.natsAuth" -}}
{{- ternary "users" .Values.nats.external.auth .Values.nats.enabled -}}
{{- end -}}

{{- define "jetpost.natsUsers" -}}
{{- list "producer" "sender" "ingester" "web" "public" "bounces" "setup" "operator" | toJson -}}
{{- end -}}

{{/* Variables by which a component says who it is to NATS. */}}
{{- define "jetpost.natsEnv" -}}
{{- $root := .root -}}
{{- $auth := include "jetpost.natsAuth" $root -}}
{{- $external := $root.Values.nats.external -}}
{{- if eq $auth "users" }}
- { name: JETPOST_NATS_USER, value: {{ .component }} }
{{ include "jetpost.secretEnv" (dict "root" $root "variable" "JETPOST_NATS_PASSWORD" "key" (printf "nats-%s-password" .component)) }}
{{- else if eq $auth "user" }}
- { name: JETPOST_NATS_USER, value: {{ $external.user | quote }} }
- name: JETPOST_NATS_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ $external.passwordSecret.name }}, key: {{ $external.passwordSecret.key }} } }
{{- else if eq $auth "credentials" }}
- { name: JETPOST_NATS_CREDENTIALS_FILE, value: /etc/jetpost/nats-credentials/nats.creds }
{{- end }}
{{- end -}}

{{- define "jetpost.clickhouseEnv" -}}
{{- $clickhouse := .Values.clickhouse -}}
{{- $external := $clickhouse.external -}}
{{- if and (not $clickhouse.enabled) $external.urlSecret.name }}
- name: JETPOST_ANALYTICS_CLICKHOUSE_URL
  valueFrom: { secretKeyRef: { name: {{ $external.urlSecret.name }}, key: {{ $external.urlSecret.key }} } }
{{- else }}
{{ include "jetpost.secretEnv" (dict "root" . "variable" "CLICKHOUSE_PASSWORD" "key" .Values.secrets.keys.clickhousePassword) }}
{{- $url := printf "http://%s-clickhouse:8123/default" (include "jetpost.fullname" .) -}}
{{- if not $clickhouse.enabled -}}{{- $url = $external.url -}}{{- end -}}
{{- $user := printf "://%s:$(CLICKHOUSE_PASSWORD)@" $clickhouse.user }}
- { name: JETPOST_ANALYTICS_CLICKHOUSE_URL, value: {{ $url | replace "://" $user | quote }} }
{{- end }}
{{- end -}}

{{/* A variable from a key of our Secret: (dict "root" $ "variable" … "key" …). */}}
{{- define "jetpost.secretEnv" -}}
- name: {{ .variable }}
  valueFrom: { secretKeyRef: { name: {{ include "jetpost.secretName" .root }}, key: {{ .key }} } }
{{- end -}}
