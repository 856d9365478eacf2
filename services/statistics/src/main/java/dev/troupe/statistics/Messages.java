package dev.troupe.statistics;

import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.DescriptorProtos.FileDescriptorSet;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.DescriptorValidationException;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import java.io.IOException;
import java.io.InputStream;
import java.util.HashMap;
import java.util.Map;

/** The messages of all events, by the descriptor set schemas/events.binpb: no code is generated. */
final class Messages {
  private final Map<String, Descriptor> types = new HashMap<>();
  private final JsonFormat.Printer json = JsonFormat.printer().preservingProtoFieldNames().omittingInsignificantWhitespace();

  /** Reads the set that was packed beside this class. */
  Messages() throws IOException {
    Map<String, FileDescriptor> files = new HashMap<>();
    try (InputStream set = Messages.class.getResourceAsStream("/events.binpb")) {
      for (FileDescriptorProto file : FileDescriptorSet.parseFrom(set).getFileList()) { // imports come before what uses them
        FileDescriptor[] imports = file.getDependencyList().stream().map(files::get).toArray(FileDescriptor[]::new);
        files.put(file.getName(), FileDescriptor.buildFrom(file, imports));
      }
    } catch (DescriptorValidationException e) {
      throw new IOException("events.binpb: " + e.getMessage(), e);
    }
    files.values().forEach(file -> file.getMessageTypes().forEach(m -> types.put(m.getFullName(), m)));
  }

  /** The body as JSON with the names of the proto files. A record without a value is a message without fields. */
  String decode(String type, byte[] body) throws InvalidProtocolBufferException {
    Descriptor message = types.get(type);
    if (message == null) {
      throw new InvalidProtocolBufferException("events.binpb has no message " + type + ": build with the schemas of its release");
    }
    return json.print(DynamicMessage.parseFrom(message, body == null ? new byte[0] : body));
  }
}
