from django.urls import path

from enrollment.views import courses, front, information

urlpatterns = [
    path("", front.front, name="front"),
    path("courses/", courses.courses, name="courses"),
    path("courses/<slug:slug>/", courses.course, name="course"),
    path("help/", information.help_page, name="help"),
    path("privacy/", information.privacy, name="privacy"),
    path("accessibility/", information.accessibility, name="accessibility"),
]
