"""Pure functions of tensors: scores, proposals, removal costs.

Shape convention, once for the whole package: activations ``a`` are [n, n_in + 1] with
the constant 1 in the last column, so a bias is the last column of a weight matrix
[n_out, n_in + 1]. Gradients stay matrices of that shape and
F⁻¹V = G⁻¹ V A⁻¹; with torch's row-major flatten the dense block is kron(G, A).
"""
