{{/* What the schema cannot see. Each message says what to do. */}}
{{- define "jetpost.checks" -}}
{{- $nats := .Values.nats -}}
{{- $clickhouse := .Values.clickhouse -}}
{{- if and (not $nats.enabled) (not $nats.external.url) -}}
{{- fail "nats.external.url must be set where nats.enabled is false: nats://… or tls://…" -}}
{{- end -}}
{{- if not $nats.enabled -}}
{{- if and (eq $nats.external.auth "user") (not (and $nats.external.user $nats.external.passwordSecret.name)) -}}
{{- fail "nats.external.auth is user: set nats.external.user and nats.external.passwordSecret.name" -}}
{{- end -}}
{{- if and (eq $nats.external.auth "credentials") (not $nats.external.credentialsSecret) -}}
{{- fail "nats.external.auth is credentials: set nats.external.credentialsSecret, a Secret with the keys producer.creds, sender.creds, …" -}}
{{- end -}}
{{- end -}}
{{- if and (not $clickhouse.enabled) (not $clickhouse.external.url) (not $clickhouse.external.urlSecret.name) -}}
{{- fail "clickhouse.external.url or clickhouse.external.urlSecret must be set where clickhouse.enabled is false" -}}
{{- end -}}
{{- $copied := dig "analytics" "clickhouse" dict .Values.config -}}
{{- if and $clickhouse.enabled (or $copied.cluster $copied.replicated $copied.sharded) -}}
{{- fail "config.analytics.clickhouse names a cluster, and the ClickHouse of this chart is one server: set clickhouse.enabled to false and clickhouse.external" -}}
{{- end -}}
{{- if and $clickhouse.enabled (eq $clickhouse.user "default") -}}
{{- fail "clickhouse.user must not be default: that is whoever is inside the server's pod, without a password" -}}
{{- end -}}
{{- if contains "@" $clickhouse.external.url -}}
{{- fail "clickhouse.external.url must not hold a password: set clickhouse.user and the password in `secrets`, or give the whole address by clickhouse.external.urlSecret" -}}
{{- end -}}
{{- if and $nats.enabled (gt (int $nats.replicas) 1) (lt (int $nats.replicas) 3) -}}
{{- fail "nats.replicas must be 1, or 3 or more: two servers have no majority when one is gone" -}}
{{- end -}}
{{- $copies := int (include "jetpost.config" . | fromJson).nats.replicas -}}
{{- if and $nats.enabled (gt $copies (int $nats.replicas)) -}}
{{- fail (printf "config.nats.replicas is %d, and there are only %d servers: set nats.replicas" $copies (int $nats.replicas)) -}}
{{- end -}}
{{- if and (include "jetpost.natsTls" .) (not $nats.tls.existingSecret) (not $nats.tls.certManager.enabled) -}}
{{- fail "nats.tls.enabled needs a certificate: set nats.tls.existingSecret, or nats.tls.certManager.enabled" -}}
{{- end -}}
{{- if and $nats.tls.certManager.enabled (not $nats.tls.certManager.issuerRef.name) -}}
{{- fail "nats.tls.certManager.issuerRef.name must name an issuer of cert-manager" -}}
{{- end -}}
{{- range list .Values.image $nats.image $clickhouse.image -}}
{{- if and (eq (toString .tag) "latest") (not .digest) -}}
{{- fail (printf "the tag of %s is latest: name a release, so that every pod runs the same and an upgrade is one" .repository) -}}
{{- end -}}
{{- end -}}
{{- with .Values.sender.autoscaling -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "sender.autoscaling.minReplicas is %d, and maxReplicas %d" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if and (eq .mode "cpu") (lt (int .minReplicas) 1) -}}
{{- fail "sender.autoscaling.minReplicas must be 1 at least with mode cpu: no sender has no CPU to go by. With keda it may be 0" -}}
{{- end -}}
{{- end -}}
{{- $pools := dig "sender" "pools" dict .Values.config -}}
{{- if and (not $pools) (not (include "jetpost.demo" .)) -}}
{{- fail "config.sender.pools names no pool, and demo.enabled is false: there would be nobody to hand mails to" -}}
{{- end -}}
{{- end -}}
