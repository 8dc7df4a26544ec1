# What .ci/run and .ci/long share. Sourced by them, from the root of the project.

export CI=true NO_COLOR=1
unset FORCE_COLOR
exec </dev/null

failed=()
started=$SECONDS

# Says what the machine lacks, all of it at once, and stops.
require() {
  local missing=() major
  command -v npm >/dev/null || missing+=("npm")
  if command -v node >/dev/null; then
    major=$(node -p 'process.versions.node.split(".")[0]')
    [ "$major" -ge 20 ] || missing+=("Node 20 or later (this is $(node --version))")
  else
    missing+=("Node 20 or later")
  fi
  [ "$(id -u)" -ne 0 ] || id nobody >/dev/null 2>&1 || missing+=("the account nobody, which runs Postgres for root")
  if [ ${#missing[@]} -gt 0 ]; then
    printf 'Missing: %s\n' "${missing[@]}"
    finish /nonexistent
  fi
}

# The tests of the layers on Redis want a redis-server. Where it is missing and that takes no question it is installed, within three
# minutes; where that fails they are skipped, and nothing else is.
provide_redis() {
  if [ -n "${AEGISPAY_TEST_REDIS_URL:-}" ] || command -v redis-server >/dev/null; then return; fi
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then install_redis >/dev/null 2>&1 || true; fi
  command -v redis-server >/dev/null || echo "No redis-server, and it could not be installed: the tests of the layers on Redis are skipped."
}

install_redis() {
  local policy=/usr/sbin/policy-rc.d guarded=
  # The package would start a server of its own.
  if [ ! -e "$policy" ]; then
    guarded=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  fi
  timeout -k 5 50 apt-get -qq update
  DEBIAN_FRONTEND=noninteractive timeout -k 5 110 \
    apt-get -qq -o DPkg::Lock::Timeout=10 install -y --no-install-recommends redis-server
  if [ -n "$guarded" ]; then rm -f "$policy"; fi
}

# step NAME COMMAND...: runs it and remembers whether it failed; later steps run all the same.
step() {
  local name=$1
  shift
  echo "=== $name"
  if "$@"; then echo "=== $name: passed"; else
    echo "=== $name: FAILED (exit code $?)"
    failed+=("$name")
  fi
}

# finish REPORT: the last line is the count of tests, alone; the exit code says whether everything passed.
finish() {
  local code=0
  echo "Took $((SECONDS - started)) s."
  if [ ${#failed[@]} -gt 0 ]; then
    echo "Failed: ${failed[*]}"
    code=1
  fi
  if command -v node >/dev/null; then node scripts/count.mjs "$1" || code=1; else
    echo "0 passed, 1 failed, 0 skipped"
    code=1
  fi
  exit $code
}
