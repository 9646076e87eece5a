"""Module names that text generators invent, and what they most likely mean (spec/scenarios.md 4.1)."""

from __future__ import annotations

from typing import Final

#: Invented name -> what the file probably means: a module, or a place in the blueprint. Such files are refused.
INVENTED: Final[dict[str, str]] = {
    "builtin:BasicIterator": "builtin:BasicFeeder",
    "builtin:Iterator": "builtin:BasicFeeder",
    "builtin:Sleep": "util:FunctionSleep",
    "util:Sleep": "util:FunctionSleep",
    "builtin:BasicScheduler": "the scenario's scheduling",
    "builtin:BasicFilter": "the key 'filter' of the next module",
    "builtin:ErrorHandler": "the key 'onerror' of the module",
    "builtin:Throw": "builtin:ThrowError",
    "builtin:IgnoreError": "builtin:Ignore",
    "builtin:TextAggregator": "util:TextAggregator",
    "util:NumericalAggregator": "util:FunctionAggregator2",
    "util:NumericAggregator": "util:FunctionAggregator2",
    "util:TableAggregator": "util:AggregateAggregator",
    "util:SetMultipleVariables": "util:SetVariables",
    "gateway:CustomWebhook": "gateway:CustomWebHook",
    "gateway:WebhookResponse": "gateway:WebhookRespond",
    "http:MakeARequest": "http:MakeRequest",
    "http:Request": "http:MakeRequest",
    "datastore:ActionAddRecord": "datastore:AddRecord",
    "datastore:addRecord": "datastore:AddRecord",
    "datastore:SearchRecords": "datastore:SearchRecord",
    "regexp:HTMLtoText": "regexp:HTMLToText",
    "email:send-email": "email:ActionSendEmail",
}
