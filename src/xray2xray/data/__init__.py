"""Posed views on disk."""

from .store import StudyViews, ViewStore

__all__ = ["StudyViews", "ViewStore"]
