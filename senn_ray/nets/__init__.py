"""Networks that change size: layers, capture of statistics, surgery."""
