{{/* A campaign to the simulator, once for each id. */}}

{{/* An audience of made-up people, the same in every rendering. The tags tell the simulator how to answer
     (`jetpost simulator --help`): a few per cent are unknown, full, greylisted, throttled or blocked. */}}
{{- define "jetpost.demoAudience" -}}
email,first_name,last_name,city,points,plan,joined
{{- $domains := list "gmail.com" "gmail.com" "gmail.com" "outlook.com" "hotmail.com" "yahoo.com" "icloud.com" "nordwind.example" "casa-lopez.example" }}
{{- $names := list "Ada" "Björn" "Chidi" "Elena" "Fatima" "Grace" "Kaito" "Linus" "Mateo" "Priya" "Søren" }}
{{- $families := list "Almeida" "Bergström" "Castillo" "Haddad" "Kim" "Okafor" "Zhang" }}
{{- $cities := list "Amsterdam" "Bogotá" "Chicago" "Göteborg" "Kraków" "Nairobi" "Osaka" }}
{{- $tags := dict "7" "+greylist" "31" "+unknown" "53" "+full" "61" "+throttled" "79" "+blocked" }}
{{- range $number := until (int .) }}
{{- $tag := get $tags (mod $number 97 | toString) }}
person-{{ $number }}{{ $tag }}@{{ index $domains (mod $number 9) }},{{ index $names (mod $number 11) }},{{ index $families (mod (div $number 11) 7) }},{{ index $cities (mod $number 7) }},{{ mul (mod $number 500) 10 }},{{ ternary "plus" "free" (eq (mod $number 4) 0) }},{{ add 2017 (mod $number 9) }}
{{- end }}
{{- end -}}

{{- define "jetpost.demoCampaign" -}}
# Sent to the simulator once.
name = {{ .name | quote }}
id = {{ .id | quote }}
from = "The Long Way Home <letter@longwayhome.example>"
return_path = "bounces@longwayhome.example"
subject = "{{ "{{ first_name }}" }}, three slow journeys from {{ "{{ city }}" }}"
html = "newsletter.html"
pool = "demo"
policy = "at_most_once"
deadline = "1h"

[audience]
path = "audience.csv"
email = "email"

[defaults]
first_name = "traveller"
city = "home"
points = 0
plan = "free"
{{- end -}}

{{/* The pod that sends a campaign, waits for its end and proves its ledger: (dict "root" $ "role" … "pod" … "campaign" its id
     "configMap" the name of what holds the files "seconds" how long it may take). */}}
{{- define "jetpost.campaignPod" -}}
{{- $files := list (dict "name" "campaign" "mountPath" "/campaign" "readOnly" true) -}}
{{- $urls := include "jetpost.readyUrls" (dict "root" .root "components" (list "ingester" "web")) | fromJsonArray -}}
{{- $seconds := printf "%d" (int .seconds) -}}
{{- $steps := list
  (dict "container" "ready" "args" (concat (list "probe" "--wait" $seconds) $urls))
  (dict "container" "send" "args" (list "send" "--unless-sent" "/campaign/campaign.toml") "mounts" $files)
  (dict "container" "wait" "args" (list "wait" .campaign "--timeout" $seconds))
  (dict "container" "reconcile" "args" (list "reconcile" .campaign))
-}}
{{- $volumes := list (dict "name" "campaign" "configMap" (dict "name" .configMap)) -}}
{{- include "jetpost.jobPod" (merge (dict "component" "operator" "steps" $steps "moreVolumes" $volumes) .) -}}
{{- end -}}

{{/* The newsletter of the examples with an audience: (dict "root" $ "id" … "name" … "recipients" …). */}}
{{- define "jetpost.campaignFiles" -}}
campaign.toml: |
  {{- include "jetpost.demoCampaign" . | nindent 2 }}
newsletter.html: |
  {{- .root.Files.Get "files/demo/newsletter.html" | nindent 2 }}
audience.csv: |
  {{- include "jetpost.demoAudience" .recipients | nindent 2 }}
{{- end -}}
