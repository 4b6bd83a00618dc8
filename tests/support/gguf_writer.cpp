// SPDX-License-Identifier: GPL-2.0-only
//
// The bytes of a GGUF file; see gguf_writer.hpp.
#include "support/gguf_writer.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

namespace llamux::test {

void put_string(Bytes& out, std::string_view text) {
    put_number(out, static_cast<std::uint64_t>(text.size()));
    out.insert(out.end(), text.begin(), text.end());
}

void GgufWriter::set_raw(std::string_view key, std::uint32_t type, Bytes value) {
    for (Key& known : keys_) {
        if (known.name == key) {
            known.type = type;
            known.value = std::move(value);
            return;
        }
    }
    add_raw(key, type, std::move(value));
}

void GgufWriter::add_raw(std::string_view key, std::uint32_t type, Bytes value) {
    keys_.push_back({std::string(key), type, std::move(value)});
}

void GgufWriter::remove(std::string_view key) {
    std::erase_if(keys_, [&](const Key& known) { return known.name == key; });
}

void GgufWriter::set_alignment(std::uint32_t alignment) {
    alignment_ = alignment;
    set("general.alignment", alignment);
}

GgufTensor& GgufWriter::add_tensor(std::string name, std::vector<std::uint64_t> dims,
                                   std::uint32_t type, Bytes bytes) {
    const std::uint64_t n_bytes = bytes.size();
    return add_tensor(std::move(name), std::move(dims), type, n_bytes,
                      [bytes = std::move(bytes)](std::span<std::uint8_t> out) {
                          std::copy_n(bytes.begin(), std::min(bytes.size(), out.size()),
                                      out.begin());
                      });
}

GgufTensor& GgufWriter::add_tensor(std::string name, std::vector<std::uint64_t> dims,
                                   std::uint32_t type, std::uint64_t n_bytes,
                                   std::function<void(std::span<std::uint8_t>)> fill) {
    return tensors_.emplace_back(
        GgufTensor{std::move(name), std::move(dims), type, n_bytes, std::nullopt, std::move(fill)});
}

GgufTensor* GgufWriter::tensor(std::string_view name) {
    for (GgufTensor& known : tensors_) {
        if (known.name == name) {
            return &known;
        }
    }
    return nullptr;
}

void GgufWriter::remove_tensor(std::string_view name) {
    std::erase_if(tensors_, [&](const GgufTensor& known) { return known.name == name; });
}

std::uint64_t GgufWriter::aligned(std::uint64_t offset) const {
    return (offset + alignment_ - 1) / alignment_ * alignment_;
}

std::vector<std::uint64_t> GgufWriter::tensor_offsets() const {
    std::vector<std::uint64_t> offsets;
    std::uint64_t next = 0;
    for (const GgufTensor& tensor : tensors_) {
        offsets.push_back(tensor.offset.value_or(next));
        next = aligned(next + tensor.n_bytes);
    }
    return offsets;
}

Bytes GgufWriter::metadata() const {
    Bytes out = {'G', 'G', 'U', 'F'};
    put_number(out, version_);
    put_number(out, static_cast<std::uint64_t>(tensors_.size()));
    put_number(out, static_cast<std::uint64_t>(keys_.size()));
    for (const Key& key : keys_) {
        put_string(out, key.name);
        put_number(out, key.type);
        out.insert(out.end(), key.value.begin(), key.value.end());
    }
    const std::vector<std::uint64_t> offsets = tensor_offsets();
    for (std::size_t i = 0; i < tensors_.size(); i++) {
        put_string(out, tensors_[i].name);
        put_number(out, static_cast<std::uint32_t>(tensors_[i].dims.size()));
        for (const std::uint64_t dim : tensors_[i].dims) {
            put_number(out, dim);
        }
        put_number(out, tensors_[i].type);
        put_number(out, offsets[i]);
    }
    out.resize(aligned(out.size()));
    return out;
}

bool GgufWriter::emit(const std::function<bool(std::span<const std::uint8_t>)>& sink) const {
    if (!sink(metadata())) {
        return false;
    }
    for (const GgufTensor& tensor : tensors_) {
        Bytes data(aligned(tensor.n_bytes));
        tensor.fill(std::span(data).first(tensor.n_bytes));
        // The last tensor ends the file: no padding after it.
        if (&tensor == &tensors_.back()) {
            data.resize(tensor.n_bytes);
        }
        if (!sink(data)) {
            return false;
        }
    }
    return true;
}

Bytes GgufWriter::bytes() const {
    Bytes out;
    emit([&](std::span<const std::uint8_t> piece) {
        out.insert(out.end(), piece.begin(), piece.end());
        return true;
    });
    return out;
}

bool GgufWriter::write(const std::string& path) const {
    const auto close = [](std::FILE* file) { std::fclose(file); };
    std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "wb"), close);
    if (!file) {
        return false;
    }
    const bool written = emit([&](std::span<const std::uint8_t> piece) {
        return std::fwrite(piece.data(), 1, piece.size(), file.get()) == piece.size();
    });
    return written && std::fflush(file.get()) == 0;
}

}  // namespace llamux::test
