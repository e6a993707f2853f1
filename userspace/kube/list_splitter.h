#pragma once

#include "holdfast/kube/list.h"

namespace holdfast::kube {

std::unique_ptr<ListSplitter> create_json_list_splitter(ListSplitter::OnItem on_item);
std::unique_ptr<ListSplitter> create_protobuf_list_splitter(ListSplitter::OnItem on_item);

}  // namespace holdfast::kube
