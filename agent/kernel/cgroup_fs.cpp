// SPDX-License-Identifier: GPL-2.0-only
//
// See cgroup_fs.hpp. Holding the directory open instead of its name is oomd's
// lesson (CgroupContext.h): a name can be given to another group.
#include "kernel/cgroup_fs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace llamux {
namespace {

// Far above what real machines have; a bound against a hostile tree.
constexpr std::size_t kMaxNodes = 8192;
constexpr int kMaxDepth = 24;

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

class Walker {
  public:
    explicit Walker(CgroupTree& tree) : tree_(tree) {}

    void walk(int parent_fd, const std::string& path, std::uint64_t id, int depth) {
        const int fd =
            ::openat(parent_fd, path_name(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) {
            return;  // removed while we walk
        }
        const Directory directory(::fdopendir(fd));
        if (!directory) {
            ::close(fd);
            return;
        }
        const std::size_t first = tree_.nodes.size();
        add_children(directory.get(), path, id);
        const std::size_t last = tree_.nodes.size();
        for (std::size_t i = first; i < last; i++) {
            tree_.nodes[i].n_siblings = static_cast<unsigned>(last - first - 1);
        }
        for (std::size_t i = first; i < last; i++) {
            if (depth + 1 > kMaxDepth) {
                tree_.truncated = true;
                return;
            }
            // Copied: the vector grows below.
            const std::string child_path = tree_.nodes[i].path;
            const std::uint64_t child_id = tree_.nodes[i].id;
            walk(::dirfd(directory.get()), child_path, child_id, depth + 1);
        }
    }

  private:
    static const char* path_name(const std::string& path) {
        const std::size_t slash = path.rfind('/');
        return slash == std::string::npos ? "." : path.c_str() + slash + 1;
    }

    void add_children(DIR* directory, const std::string& path, std::uint64_t id) {
        while (const dirent* entry = ::readdir(directory)) {
            const std::string_view name = entry->d_name;
            if (entry->d_type != DT_DIR || name == "." || name == "..") {
                continue;
            }
            if (tree_.nodes.size() >= kMaxNodes) {
                tree_.truncated = true;
                return;
            }
            CgroupNode node;
            node.id = entry->d_ino;
            node.parent_id = id;
            node.path = path + "/" + std::string(name);
            tree_.nodes.push_back(std::move(node));
        }
    }

    CgroupTree& tree_;
};

}  // namespace

const CgroupNode* CgroupTree::find(std::uint64_t id) const {
    const auto found = std::find_if(nodes.begin(), nodes.end(),
                                    [&](const CgroupNode& node) { return node.id == id; });
    return found == nodes.end() ? nullptr : &*found;
}

const CgroupNode* CgroupTree::find_path(std::string_view path) const {
    const auto found = std::find_if(nodes.begin(), nodes.end(),
                                    [&](const CgroupNode& node) { return node.path == path; });
    return found == nodes.end() ? nullptr : &*found;
}

std::string CgroupTree::name_of(std::uint64_t id) const {
    if (id == 0) {
        return "the system";
    }
    const CgroupNode* node = find(id);
    return node ? node->path : "#" + std::to_string(id);
}

Result<std::string> Cgroup::read(const std::string& file) const {
    return read_text_at(directory_.get(), file);
}

Status Cgroup::write(const std::string& file, std::string_view text) const {
    return write_text_at(directory_.get(), file, text);
}

Status Cgroup::write_bounded(const std::string& file, std::string_view text,
                             std::chrono::milliseconds timeout) const {
    return write_text_bounded(directory_.get(), file, text, timeout);
}

Result<CgroupTree> CgroupFs::walk() const {
    Result<Fd> root = open_at(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY);
    if (!root) {
        return root.error();
    }
    CgroupTree tree;
    Walker(tree).walk(root->get(), "", 0, 0);
    return tree;
}

Result<Cgroup> CgroupFs::open(const std::string& path, std::uint64_t id) const {
    if (path.empty() || path.front() != '/' || path.find("/../") != std::string::npos) {
        return Error{EINVAL, "'" + path + "' is not the path of a cgroup"};
    }
    Result<Fd> directory = open_at(AT_FDCWD, root_ + path, O_RDONLY | O_DIRECTORY);
    if (!directory) {
        return directory.error();
    }
    struct stat attributes {};
    if (::fstat(directory->get(), &attributes) != 0) {
        return errno_error(errno, path);
    }
    if (id != 0 && attributes.st_ino != id) {
        return Error{ESTALE, path + " is another group than the one that was measured"};
    }
    return Cgroup(std::move(*directory), attributes.st_ino);
}

Result<std::string> CgroupFs::read_root(const std::string& file) const {
    return read_text(root_ + "/" + file);
}

bool means_gone(const Error& error) {
    return error.code == ENOENT || error.code == ENODEV || error.code == ESTALE;
}

}  // namespace llamux
