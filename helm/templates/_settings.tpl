{{/* Jetpost's settings: what the chart decides, and over it what `config` says. Given as JSON; use fromJson. */}}
{{- define "jetpost.config" -}}
{{- $name := include "jetpost.fullname" . -}}
{{- $web := printf "%s-web" $name -}}
{{- $hosts := list $web (printf "%s.%s" $web .Release.Namespace) (printf "%s.%s.svc" $web .Release.Namespace) -}}
{{- if and .Values.web.ingress.enabled .Values.web.ingress.host -}}{{- $hosts = append $hosts .Values.web.ingress.host -}}{{- end -}}
{{- if .Values.web.gateway.enabled -}}{{- $hosts = concat $hosts .Values.web.gateway.hostnames -}}{{- end -}}
{{- $hosts = concat $hosts (dig "web" "allowed_hosts" list .Values.config) | uniq -}}
{{- $nats := dict "url" (include "jetpost.natsUrl" .) -}}
{{- if include "jetpost.natsCa" . -}}{{- $_ := set $nats "ca_file" "/etc/jetpost/nats-ca/ca.crt" -}}{{- end -}}
{{- if .Values.nats.enabled -}}
{{- $_ := set $nats "replicas" (ternary 3 1 (ge (int .Values.nats.replicas) 3)) -}}
{{- $_ := set $nats "sync_always" (eq .Values.nats.syncInterval "always") -}}
{{- end -}}
{{- $ours := dict
  "data_dir" "/tmp/jetpost"
  "nats" $nats
  "producer" (dict "rejects_dir" "/tmp")
  "bounces" (dict "host" .Values.listenAddress "port" 2424)
  "web" (dict "host" .Values.listenAddress "port" 8080)
  "metrics" (dict "host" .Values.listenAddress "port" 9100)
  "log" (dict "format" "json")
-}}
{{- with .Values.sender.autoscaling -}}
{{- if ne .mode "none" -}}
{{- $scaling := dict "min_senders" .minReplicas "max_senders" .maxReplicas "cooldown_seconds" .cooldownSeconds -}}
{{- $_ := set $ours "analytics" (dict "scaling" $scaling) -}}
{{- end -}}
{{- end -}}
{{- if include "jetpost.demo" . -}}{{- $ours = mergeOverwrite $ours (include "jetpost.demoConfig" . | fromJson) -}}{{- end -}}
{{- $all := mergeOverwrite $ours (deepCopy .Values.config) -}}
{{- $_ := set $all.web "allowed_hosts" $hosts -}}
{{- $all | toJson -}}
{{- end -}}

{{/* The pool `demo` leads to the simulator. Where it is the only one, retries take seconds in place of hours, so that the
     first campaign ends while you watch; and lanes do not slow down, since single recipients ask for it. */}}
{{- define "jetpost.demoConfig" -}}
{{- $pool := dict "host" (printf "%s-simulator" (include "jetpost.fullname" .)) "port" 2525 "relay_signs" true -}}
{{- $sender := dict "pools" (dict "demo" $pool) -}}
{{- if not (dig "sender" "pools" dict .Values.config) -}}
{{- $retry := dict "transient_base_seconds" 1 "transient_max_seconds" 3 "soft_interval_seconds" 2 "throttled_base_seconds" 1 "throttled_max_seconds" 60 -}}
{{- $sender = dict "pools" (dict "demo" $pool) "retry" $retry "adaptive" (dict "enabled" false) -}}
{{- end -}}
{{- dict "sender" $sender | toJson -}}
{{- end -}}

{{/* A tree as TOML: (dict "tree" $config "path" (list)). toToml would write every integer of a values file as 8080.0. */}}
{{- define "jetpost.toml" -}}
{{- $path := .path -}}
{{- $tree := .tree -}}
{{- range $key := keys $tree | sortAlpha -}}
{{- $value := index $tree $key -}}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ include "jetpost.tomlKey" $key }} = {{ toJson $value }}
{{- end -}}
{{- end -}}
{{- range $key := keys $tree | sortAlpha -}}
{{- $value := index $tree $key -}}
{{- if kindIs "map" $value -}}
{{- $here := append $path (include "jetpost.tomlKey" $key) }}

[{{ join "." $here }}]
{{- include "jetpost.toml" (dict "tree" $value "path" $here) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "jetpost.tomlKey" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}{{- . -}}{{- else -}}{{- toJson . -}}{{- end -}}
{{- end -}}

{{- define "jetpost.settingsFile" -}}
# Made by the chart from `config`. Secrets come in the environment.
{{- include "jetpost.toml" (dict "tree" (include "jetpost.config" . | fromJson) "path" list) }}
{{- end -}}

{{/* The variable of a secret setting: sender.pools.my-pool.password is JETPOST_SENDER_POOLS_MY_POOL_PASSWORD. Domains have
     dots, which are three underscores. */}}
{{- define "jetpost.variable" -}}
{{- $path := . -}}
{{- if hasPrefix "sender.dkim." . -}}
{{- $parts := trimPrefix "sender.dkim." . | splitList "." -}}
{{- $path = printf "sender.dkim.%s.%s" (initial $parts | join "___") (last $parts) -}}
{{- end -}}
{{- printf "JETPOST_%s" ($path | replace "." "_" | replace "-" "_" | upper) -}}
{{- end -}}

{{/* Who reads a secret setting, as JSON. */}}
{{- define "jetpost.readers" -}}
{{- $readers := list -}}
{{- if hasPrefix "sender.verp_secret" . -}}{{- $readers = list "sender" "bounces" -}}
{{- else if hasPrefix "sender." . -}}{{- $readers = list "sender" -}}
{{- else if hasPrefix "producer.databases." . -}}{{- $readers = list "campaign" "operator" -}}
{{- else if hasPrefix "web.webhooks." . -}}{{- $readers = list "public" -}}
{{- else if hasPrefix "web.old_link_secrets" . -}}{{- $readers = list "public" "bounces" -}}
{{- else if hasPrefix "bounces." . -}}{{- $readers = list "bounces" -}}
{{- else if hasPrefix "suppression." . -}}{{- $readers = list "producer" "sender" "ingester" "suppression-compact" "campaign" "operator" "demo" "test" -}}
{{- else -}}{{- fail (printf "secrets.settings: %s is none of the secret settings that are given here (docs/kubernetes.md)" .) -}}
{{- end -}}
{{- $readers | toJson -}}
{{- end -}}
