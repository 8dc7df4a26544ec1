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

# Some tests want a program of the machine. Where it is missing and that takes no question it is installed, all of them together within three
# minutes; where that fails those tests are skipped, and nothing else is.
provide_redis() {
  if [ -n "${AEGISPAY_TEST_REDIS_URL:-}" ] || command -v redis-server >/dev/null; then return; fi
  install_packages redis-server
  command -v redis-server >/dev/null || echo "No redis-server, and it could not be installed: the tests of the layers on Redis are skipped."
}

# fonts-dejavu-core: without any font a browser draws no text.
provide_chromium() {
  if [ -n "${AEGISPAY_TEST_CHROMIUM:-}" ] || has_chromium; then return; fi
  install_packages chromium fonts-dejavu-core
  has_chromium || echo "No chromium, and it could not be installed: the tests in a browser are skipped."
}

# The names that test/support/TestBrowser.ts looks for.
has_chromium() {
  command -v chromium || command -v chromium-browser || command -v google-chrome
} >/dev/null

install_packages() {
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then apt_install "$@" >/dev/null 2>&1 || true; fi
}

install_until=
package_lists=
apt_install() {
  local policy=/usr/sbin/policy-rc.d guarded=
  [ -n "$install_until" ] || install_until=$((SECONDS + 165))
  # A server's package would start a server of its own.
  if [ ! -e "$policy" ]; then
    guarded=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  fi
  if [ -z "$package_lists" ]; then
    package_lists=tried
    within 50 apt-get -qq update
  fi
  DEBIAN_FRONTEND=noninteractive within 110 apt-get -qq -o DPkg::Lock::Timeout=10 install -y --no-install-recommends "$@"
  if [ -n "$guarded" ]; then rm -f "$policy"; fi
}

# within SECONDS COMMAND...: runs it for at most so long, and not beyond the time that all installing may take.
within() {
  local most=$1 left=$((install_until - SECONDS))
  shift
  if [ "$left" -le 0 ]; then return 1; fi
  timeout -k 5 $((left < most ? left : most)) "$@"
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
