{{/* Users of ClickHouse: Jetpost's, and whoever is inside the pod. */}}
{{- define "jetpost.clickhouseUsers" -}}
<clickhouse>
  <users>
    <{{ .Values.clickhouse.user }}>
      <password from_env="CLICKHOUSE_PASSWORD"/>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </{{ .Values.clickhouse.user }}>
    <default>
      <networks replace="replace"><ip>127.0.0.1</ip><ip>::1</ip></networks>
    </default>
  </users>
</clickhouse>
{{- end -}}
