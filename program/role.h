// What a caller of the coordinator may be; program/authorization.cc has the table of what each may call.
#pragma once

#include <array>
#include <cstdint>

namespace flowloom {

enum class Role : std::uint8_t { kWorker, kTrainer, kClient, kAdmin };

inline constexpr std::array kRoles{Role::kWorker, Role::kTrainer, Role::kClient, Role::kAdmin};

constexpr const char* name_of(Role role) {
  switch (role) {
    case Role::kWorker:
      return "worker";
    case Role::kTrainer:
      return "trainer";
    case Role::kClient:
      return "client";
    case Role::kAdmin:
      break;
  }
  return "admin";
}

}  // namespace flowloom
