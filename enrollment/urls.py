from django.urls import path, re_path
from django.views.generic import RedirectView

from enrollment.views import courses, erasing, front, identities, information, joining, my_card, my_place, signing_in

urlpatterns = [
    path("", front.front, name="front"),
    path("courses/", courses.courses, name="courses"),
    path("courses/feed.atom", courses.feed, name="courses_feed"),
    path("courses/calendar.ics", courses.calendar, name="courses_calendar"),
    path("courses/<slug:slug>/", courses.course, name="course"),
    path("courses/<slug:slug>/cover.svg", courses.cover, name="course_cover"),
    path("courses/<slug:slug>/cover.png", courses.picture, name="course_picture"),
    path("help/", information.help_page, name="help"),
    path("privacy/", information.privacy, name="privacy"),
    path("accessibility/", information.accessibility, name="accessibility"),
    path("join/", joining.mail, name="join"),
    path("join/card/", joining.card, name="join_card"),
    path("join/done/", joining.done, name="join_done"),
    path("my/", my_place.my_place, name="my_place"),
    path("my/erase/", erasing.erase_me, name="erase_me"),
    path("erased/<slug:code>/", erasing.certificate, name="certificate"),
    path("my/language/", my_place.choose_language, name="my_language"),
    path("my/identities/<int:pk>/disconnect/", identities.disconnect, name="identity_disconnect"),
    path("my/<int:pk>/give-back/", my_place.give_back, name="give_back"),
    path("my/<int:pk>/renew/", my_place.renew, name="renew"),
    path("my/<int:pk>/start/", my_place.start, name="start"),
    path("my/<int:pk>/card/", my_card.change_card, name="my_card"),
    path("my/<int:pk>/card/proof/", my_card.prove, name="my_card_proof"),
    path("my/<int:pk>/card/back/", my_card.take_back, name="my_card_back"),
    # In place of allauth's pages at these addresses.
    path("accounts/login/", signing_in.password, name="account_login"),
    path("accounts/login/code/", signing_in.mail, name="account_request_login_code"),
    path("accounts/login/code/confirm/", signing_in.code, name="account_confirm_login_code"),
    path("accounts/oidc/<slug:provider_id>/login/", identities.start, name="identity_start"),
    path("accounts/oidc/<slug:provider_id>/login/callback/", identities.callback, name="identity_callback"),
    path("accounts/oidc/mail/", identities.mail, name="identity_mail"),
    path("accounts/signup/", RedirectView.as_view(pattern_name="join"), name="account_signup"),
    path("accounts/password/change/", signing_in.password_change, name="account_change_password"),
    path("accounts/password/set/", signing_in.password_set, name="account_set_password"),
    path("accounts/email/", RedirectView.as_view(pattern_name="my_place"), name="account_email"),
    re_path(r"^accounts/confirm-email/.*$", RedirectView.as_view(pattern_name="my_place")),
]
