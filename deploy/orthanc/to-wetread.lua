-- Orthanc sends each CR and DX image to Wetread as soon as it is stored.
--
-- Orthanc does not try again when Wetread is away: `[[reconcile]]` in Wetread's settings fetches what
-- did not arrive, also after both were stopped.
function OnStoredInstance(instanceId, tags, metadata, origin)
   if tags['Modality'] == 'CR' or tags['Modality'] == 'DX' then
      SendToModality(instanceId, 'wetread')
   end
end
