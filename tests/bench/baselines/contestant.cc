#include "contestant.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "spec/error.h"
#include "spec/noise.h"
#include "spec/packing.h"

namespace flowloom {

std::uint64_t Baseline::durable() {
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
  return durable_;
}

void Baseline::begin() {
  for (int i = 0; i < kProducers; ++i) {
    threads_.emplace_back([this](std::stop_token stop) {
      try {
        produce(stop);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        error_ = std::current_exception();
      }
    });
  }
}

void Baseline::stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

std::uint64_t Baseline::number(std::span<char> bytes) {
  const std::uint64_t unit = next_.fetch_add(1);
  std::memcpy(bytes.data(), &unit, sizeof unit);
  return unit;
}

std::string unit_bytes() {
  std::vector<double> values((kUnitBytes - kHeaderBytes) / sizeof(double));
  fill_normal({1, 2}, Purpose::kBase, 0, values);
  return std::string(kHeaderBytes, '\0') + pack(values);
}

namespace {

std::vector<std::string> words(const std::string& user, const std::string& program,
                               const std::vector<std::string>& arguments, int signal) {
  std::vector<std::string> words;
  if (!user.empty() && ::geteuid() == 0) words = {"--reuid", user, "--regid", user, "--clear-groups"};
  words.insert(words.end(), {"--pdeathsig", ::sigabbrev_np(signal), "--", program});
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

}  // namespace

Server::Server(const std::string& user, const std::string& program, const std::vector<std::string>& arguments,
               const std::filesystem::path& folder, int signal)
    : program_(program),
      signal_(signal),
      child_("setpriv", words(user, program, arguments, signal), folder / "output.log", folder) {}

Server::~Server() {
  child_.signal(signal_);
  for (int i = 0; i < 1000 && !child_.poll(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

void Server::await(const std::function<bool()>& connected) {
  for (int i = 0; i < 200; ++i) {
    if (connected()) return;
    if (child_.poll()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  throw Error(ErrorCode::kUnavailable, "'" + program_ + "' does not answer; its last words: " + child_.last_words());
}

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  const bool bound = ::bind(socket, any, size) == 0 && ::getsockname(socket, any, &size) == 0;
  ::close(socket);
  if (!bound) throw Error(ErrorCode::kUnavailable, "No port of 127.0.0.1 is free.");
  return ntohs(address.sin_port);
}

}  // namespace flowloom
