"""Posed views on disk."""

from .groups import check_groups, group_of
from .store import StudyViews, ViewStore

__all__ = ["StudyViews", "ViewStore", "check_groups", "group_of"]
