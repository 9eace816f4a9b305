// A network between two programs of this machine: a TCP relay whose bytes take time.
//
//   client ──▶ relay ──(to: rate, delay)──▶ server
//   client ◀── relay ◀─(back: rate, delay)── server
//
// All connections of a relay share one line in each direction, as programs share a host's network card. A byte leaves when the
// line has carried those before it, and arrives `delay` later. What one connection has on its way is bounded, so a slow line pushes
// back on who writes.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace flowloom {

struct Line {
  double bytes_per_second = 0;              // 0: no limit
  std::chrono::duration<double> delay{0};  // one way
};

class Relay {
 public:
  // Serves on a free port of 127.0.0.1 until destroyed, on a thread of its own. `server`: "127.0.0.1:40123".
  Relay(const std::string& server, Line line);
  ~Relay();

  std::string address() const;

  // Since the beginning: from clients to the server, and back.
  std::uint64_t bytes_to() const;
  std::uint64_t bytes_back() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flowloom
