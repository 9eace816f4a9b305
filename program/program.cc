#include "program/program.h"

#include <grpc/support/log.h>
#include <malloc.h>
#include <sched.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

#include "spec/error.h"

namespace flowloom {
namespace {

// What gRPC says goes to the log, for who looks into it: a user reads our sentences on stderr. Its traces
// ($GRPC_TRACE) show headers, and one of them is the token.
void take_grpc_log(gpr_log_func_args* args) {
  const std::string_view message = args->message;
  if (message.find("authorization") != message.npos || message.find("Bearer") != message.npos) return;
  spdlog::debug("gRPC: {}", message);
}

}  // namespace

int run_program(const std::string& name, const std::function<int()>& body) {
  spdlog::set_level(spdlog::level::off);  // until log_to says where the log is
  gpr_set_log_function(take_grpc_log);
  try {
    return body();
  } catch (const Error& error) {
    spdlog::error("{}", error.what());
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return exit_code(error.code());
  } catch (const std::exception& error) {
    spdlog::critical("internal error: {}", error.what());
    std::fprintf(stderr, "%s: internal error: %s\n", name.c_str(), error.what());
    return 1;
  }
}

Signals::Signals(std::function<void(int)> on_signal) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
  struct sigaction before = {};
  if (::sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  thread_ = std::jthread([set, call = std::move(on_signal)](std::stop_token stop) {
    const timespec tick{0, 100'000'000};
    int asked = 0;  // by SIGINT and SIGTERM
    bool noticed = false;
    std::optional<std::chrono::steady_clock::time_point> last;
    while (!stop.stop_requested()) {
      const int signal = sigtimedwait(&set, nullptr, &tick);
      if (signal <= 0) continue;
      const auto now = std::chrono::steady_clock::now();
      const bool repeated = signal == SIGTERM && last && now - *last < std::chrono::seconds(1);
      last = now;
      if (signal != SIGINT && signal != SIGTERM) {
        if (asked == 0 && !std::exchange(noticed, true)) call(1);
      } else if (!repeated && (++asked > 1 || !noticed)) {
        call(asked);
      }
    }
  });
}

Signals::~Signals() = default;

void log_to(const std::filesystem::path& file, const std::string& level) {
  auto logger = spdlog::basic_logger_mt(file.filename().string(), file.string());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ [%P] %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  logger->set_error_handler([](const std::string& what) {
    static std::atomic_flag told;
    if (!told.test_and_set()) std::fprintf(stderr, "The log misses lines (%s).\n", what.c_str());
  });
  spdlog::set_default_logger(std::move(logger));
}

std::string host_name() {
  char host[256] = "unknown";
  ::gethostname(host, sizeof host - 1);
  return host;
}

std::string process_name() { return host_name() + ":" + std::to_string(::getpid()); }

void die_with_parent() { ::prctl(PR_SET_PDEATHSIG, SIGTERM); }

void prefer_throughput() {
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_BATCH, &none);  // a wish
  ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
}

}  // namespace flowloom
