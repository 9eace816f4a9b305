// The fields of a message that holds nothing but numbers (int64 and double), by their names: a new field is then
// written, read, stored and printed everywhere.
#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>
#include <vector>

namespace flowloom {

inline std::vector<std::string> number_names(const google::protobuf::Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return names;
}

// Calls visit(name, value) for each field in order; the value is a std::int64_t or a double.
template <class Visitor>
void visit_numbers(const google::protobuf::Message& message, Visitor visit) {
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* field = type->field(i);
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_INT64) {
      visit(field->name(), message.GetReflection()->GetInt64(message, field));
    } else {
      visit(field->name(), message.GetReflection()->GetDouble(message, field));
    }
  }
}

// The same with references that the visitor assigns to.
template <class Visitor>
void assign_numbers(google::protobuf::Message& message, Visitor visit) {
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* field = type->field(i);
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_INT64) {
      std::int64_t value = 0;
      visit(field->name(), value);
      message.GetReflection()->SetInt64(&message, field, value);
    } else {
      double value = 0;
      visit(field->name(), value);
      message.GetReflection()->SetDouble(&message, field, value);
    }
  }
}

}  // namespace flowloom
