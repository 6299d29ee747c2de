"""The workplace: Django's admin with our own site. It is read before the models are, so the site is in a file apart."""

from django.contrib.admin.apps import AdminConfig


class WorkplaceAdminConfig(AdminConfig):
    default_site = "portal.workplace_site.WorkplaceSite"
