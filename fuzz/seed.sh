#!/usr/bin/env bash
# Fills fuzz/corpus/ from protocol/ and from the vectors in the tests, so that no corpus is kept by hand.
set -euo pipefail
shopt -s nullglob globstar
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."
corpus=fuzz/corpus

mkdir -p "$corpus"/{git,docker,cargo,kubernetes,terraform,bazel,goauth,keyring,native_request,slot_value,slot_chunks,token_reply,config,service_url,callback,metadata}
rm -f "$corpus"/*/seed-*

# Named after its content: the same seed twice is one file.
seed() {
  local text
  text=$(cat && printf x)
  text=${text%x}
  if [ -n "$text" ]; then
    printf '%s' "$text" >"$corpus/$1/seed-$(printf '%s' "$text" | cksum | tr ' ' -)"
  fi
}

# The first byte selects the verb: its remainder by five, in the order of `Verb::ALL`.
request() {
  local selector
  case ${1%% *} in get) selector=d ;; store) selector=e ;; erase) selector=f ;; list) selector=g ;; *) selector=h ;; esac
  printf '%s%s' "$selector" "$2" | seed native_request
}

# A tool's command line, what it sends, a stored bundle: an operation's byte, then what is sent, the bundle and the
# words of the command line, each behind a byte that no text holds. Every way in which the answer may look is a seed.
tool() {
  local dialect operation='' words=() services=() text selector number
  set -f
  # shellcheck disable=SC2086
  set -- "$2" "$3" $1
  set +f
  local input=$1 bundle=$2
  shift 2
  case ${1##*/} in
    git-credential-*) dialect=git ;; docker-credential-*) dialect=docker ;; bazel-credential-*) dialect=bazel ;;
    cargo-credential-* | claviger) dialect=cargo ;; terraform-credentials-*) dialect=terraform ;; *) dialect=$1 ;;
  esac
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --service) services+=("$2") && shift ;;
      --account | --profile | --storage | --mode | --output) shift ;;
      --*) ;;
      *) words+=("$1") ;;
    esac
    shift
  done
  case $dialect in
    git | docker | terraform | bazel | keyring) operation=${words[0]:-} words=("${words[@]:1}") ;;
    goauth) words=("${words[0]:-}" "${services[@]}") ;;
  esac
  case $operation in get | '') number=64 ;; store | set) number=65 ;; erase | forget | del) number=66 ;; *) number=67 ;; esac
  text=$(printf '%s\377%s' "$input" "$bundle" && for word in "${words[@]}"; do printf '\377%s' "$word"; done && printf x)
  for choice in 0 1 2 3; do
    selector=$(printf '\\%03o' $((number + 4 * choice)))
    printf "$selector%s" "${text%x}" | seed "$dialect"
  done
}

# Status, content type, retry-after, body.
reply() { printf '%s\n%s\n%s\n%s' "$1" "$2" "$3" "$4" | seed token_reply; }

# The raw strings of Rust sources that hold a JSON object; doubled braces are format strings'.
json_strings() { { grep -hoE 'r#"\{.*\}"#' "$@" || true; } | sed 's/^r#"//; s/"#$//; s/{{/{/g; s/}}/}/g'; }

# A text so many times over.
many() { printf "%.0s$2" $(seq "$1"); }

# Every value of a transcript's header, which ends at the first line of the body.
header() { sed -nE "/^[<>]/q; s/^$1:[[:space:]]*//p" "$2"; }

for file in protocol/transcripts/**/*.txt; do
  header config "$file" | seed config
  while read -r status rest; do
    kind=application/json wait=
    if [[ $rest =~ ^retry-after=([^[:space:]]+)[[:space:]]*(.*)$ ]]; then
      wait=${BASH_REMATCH[1]} rest=${BASH_REMATCH[2]}
    fi
    if [[ $rest =~ ^([a-z]+/[^[:space:]\{]+)[[:space:]]*(.*)$ ]]; then
      kind=${BASH_REMATCH[1]} rest=${BASH_REMATCH[2]}
    fi
    # What is no status is a transcript's word for an exchange that gave none.
    case $status in [0-9]*) reply "$status" "$kind" "$wait" "$rest" ;; esac
  done < <(header reply "$file")
  while read -r _ verb json; do request "$verb" "$json"; done < <(header have "$file")
  verb=$(header verb "$file") call=$(header call "$file") input=$(sed -n 's/^> //p' "$file")
  bundle=$(header have "$file" | sed -n '1s/^[^{]*//p')
  # Kubernetes says it in a variable.
  info=$(header variable "$file" | sed -n 's/^KUBERNETES_EXEC_INFO=//p')
  [ -z "$verb" ] || request "$verb" "$input"
  [ -z "$call" ] || tool "$call" "${info:-$input}" "$bundle"
done

for query in '?code=C&state=STATE&iss=https%3A%2F%2Fid.example' '?error=access_denied&error_description=no&state=STATE&iss=https%3A%2F%2Fid.example' \
  '?code=C&state=wrong' '?code=C&state=STATE&state=STATE' '?code=C&state=STATE&iss=https%3A%2F%2Fevil.example' '' '?%00'; do
  for more in '' $'Origin: null\r\n' $'Content-Length: 5\r\n'; do
    printf 'GET /cb%s HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n%s\r\n' "$query" "$more" | seed callback
  done
done
json_strings src/oauth/discovery.rs src/oauth/device.rs tests/session.rs | sed 's|BASE|https://id.example|g' |
  while IFS= read -r json; do printf '%s' "$json" | seed metadata; done

for file in protocol/slots/format-1/*.json; do seed slot_value <"$file"; done
# Every key at once, as no session has them: a mutation that takes one away is easier than one that adds it.
sed 's/}$/,"profile":"ci","pending":"2026-01-01T00:59:00Z","erased":true,"movedTo":" Keyring "}/' \
  protocol/slots/format-1/access-tombstoned.json | seed slot_value
request store '{"version":1,"service":"https://API.acme.example:443/org/","account":"alice","profile":"ci","accessToken":"AT-example","refreshToken":"RT-example","refreshTokenExpiresAt":"2026-04-01T00:00:00Z","username":"oauth2","label":"work","expiresIn":3600,"tokenType":"Bearer","scopes":["api","offline_access"],"services":["https://git.acme.example"],"makeDefault":true,"replace":true,"issuer":"https://id.acme.example","tokenEndpoint":"https://id.acme.example/token?a=b","revocationEndpoint":"https://id.acme.example/revoke","clientId":"claviger","clientSecret":"CS-example"}'

# Limit, head, chunks: the limit is the first byte's code. Both the head that fits and heads of other values.
parts=$(many 100 x)
for body in "$parts" "${parts}y" ''; do
  digest=$(printf '%s' "$body" | openssl dgst -sha256 -r | cut -d' ' -f1)
  for generation in 1 3 9223372036854775807; do
    for count in $(((${#body} + 63) / 64)) 1 65536; do
      printf '@{"format":1,"slot":"chunks","generation":%s,"count":%s,"length":%s,"sha256":"%s"}\n%s' \
        "$generation" "$count" "${#body}" "$digest" "$body" | seed slot_chunks
    done
  done
done
printf '@%s\n%s' "$(cat protocol/slots/format-1/chunks-head.json)" "$parts" | seed slot_chunks
printf '\377%s' "$(cat protocol/slots/format-1/access-refreshable.json)" | seed slot_chunks

seed config <protocol/config-example.toml
# Each table alone too: a change to one is then not refused for another.
while IFS= read -r -d $'\1' table; do
  printf '%s\n' "$table" | seed config
done < <(awk -v RS= -v ORS='\1' '/=/' protocol/config-example.toml)
while IFS= read -r text; do
  printf '%b' "$text" | seed config
done < <(grep -hoE '"\[(providers|timeouts)([^"\\]|\\.)*"' src/settings/config.rs | sed 's/^"//; s/"$//')

while IFS= read -r body; do
  for status in 200 400 503; do reply "$status" 'application/json;charset=UTF-8' 120 "$body"; done
done < <(json_strings src/oauth/token.rs)
reply 429 text/html 'Wed, 21 Oct 2026 07:28:00 GMT' '<html>'

while IFS= read -r json; do
  for verb in get store erase list; do request "$verb" "$json"; done
done < <(json_strings src/**/*.rs tests/**/*.rs | grep '"service"')
request get '{"version":1,"service":"https://api.acme.example","account":"alice","minValidity":300,"forceRefresh":true}'

while IFS= read -r url; do
  printf '%b' "$url" | seed service_url
done < <({
  grep -hoE '"[A-Za-z]*:([^"\\]|\\.)*"' src/address.rs src/session/*.rs |
    sed -E 's/^"//; s/"$//; s/\\u\{([0-9a-f]+)\}/\\U00000000\1;/g; s/\\U0*([0-9a-f]{8});/\\U\1/g'
  grep -rhoE 'https?://[^"[:space:]]+' protocol
})

# What lies beyond a limit or beyond ASCII is seldom reached by mutation.
long=https://a.example/$(many 338 ü)
for url in "$long" "${long}ü" 'https://a｛b＂c｀.example' 'https://ＡＢ。example。' 'https://[::FFFF:192.0.2.1]:00443/'; do
  printf '%s' "$url" | seed service_url
  request store "{\"service\":\"https://a.example\",\"account\":\"a\",\"accessToken\":\"AT\",\"tokenEndpoint\":\"$url\",\"clientId\":\"c\"}"
  printf '[providers.a]\ntoken-endpoint = "%s"\n' "$url" | seed config
  for slot in access-refreshable refresh-public; do
    sed "s|https://id.acme.example/token|$url|" "protocol/slots/format-1/$slot.json" | seed slot_value
  done
done
for scope in "$(many 129 'a ')" "$(many 513 a)"; do
  reply 200 application/json '' "{\"access_token\":\"AT\",\"token_type\":\"bearer\",\"scope\":\"$scope\"}"
done
request get "{\"$(many 300 $'\xf3\xa0\x81\x81')\":0}"

# The words of all of these, for mutations.
grep -rhoE '"[A-Za-z0-9_.:/-]{2,40}"|^[a-z-]{2,40} =' "$corpus"/*/seed-* |
  sed -E 's/^([a-z-]+) =$/"\1"/' | sort -u >"$corpus/words"
for target in "$corpus"/*/; do
  printf '%s %s seeds\n' "$(basename "$target")" "$(find "$target" -name 'seed-*' | wc -l)"
done
