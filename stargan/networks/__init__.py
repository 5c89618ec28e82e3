"""Networks: plain ``nn.Module`` s, one architecture per file, sizes given from outside."""
