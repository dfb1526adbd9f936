"""Measurements that README and docs cite. Nothing here is needed to use the package."""
